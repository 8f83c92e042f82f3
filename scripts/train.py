"""Trains one run, or with -m a sweep, and writes records. ``--help`` shows the options."""

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while this is imported nothing is to be saved
from rllc.suite.engine import devices, joining, processes, stopping  # noqa: E402

devices.configure()

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from rllc.suite.execute import estimates, execution, told  # noqa: E402
from rllc.suite.plan import configuration  # noqa: E402
from rllc.suite.plan.commandline import check_groups, quote_propagators  # noqa: E402
from rllc.suite.plan.configuration import Conf  # noqa: E402
from rllc.suite.plan.plan import PlanError  # noqa: E402
from rllc.suite.plan.suggestions import did_you_mean  # noqa: E402
from rllc.suite.records import RecordsError  # noqa: E402


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
def main(cfg: DictConfig) -> None:
    """Trains the configured run unless it is recorded already."""
    try:
        options = execution.options_of(cfg)
        joining.join(options.among)
        run = processes.everywhere(lambda: configuration.run_of(cfg))
        groups = execution.prepare([run], options)
    except (PlanError, RecordsError) as error:
        sys.exit(f"error: {error}")
    if note := configuration.untuned_note([cfg]):
        print(note, file=sys.stderr)
    if not groups:
        print(f"run {run.name} is already recorded in {options.folder}; force=true trains it again")
        return
    announcer = estimates.Announcer(groups, options)
    if not announcer.before():
        raise KeyboardInterrupt
    outcome = execution.execute_group(groups[0], options, watcher=announcer)
    if outcome.error:
        sys.exit(f"error: {execution.in_words(outcome.error)}")
    if not processes.leads():
        return
    print(f"run {run.name} -> {outcome.record}")
    if table := told.numbers([outcome], options.folder):
        print(table)
    if note := execution.diverged_note([outcome]):
        print(note, file=sys.stderr)


def cli() -> None:
    """The command line; ends plainly on Ctrl-C and SIGTERM."""
    sys.argv[1:] = quote_propagators(sys.argv[1:])
    if meant := did_you_mean(Conf(ROOT / "conf"), sys.argv[1:]):
        sys.exit(f"error: {meant}")
    try:
        check_groups(sys.argv[1:], [path.name for path in (ROOT / "conf").iterdir()])
    except PlanError as error:
        sys.exit(f"error: {error}")
    goes_on = "the same command goes on from the last checkpoint"
    processes.run(lambda: stopping.run(main, goes_on))


if __name__ == "__main__":
    cli()
