"""One caption for each figure, and the page that shows them all."""

from collections.abc import Callable, Iterable, Mapping

from rllc.suite.study import Study

# Captions by name, or by the beginning of a name that ends with one of the study's tasks.
WHOLE = {
    "curves": "Learning curves of the study's optimizers on test data: mean over seeds, bands of "
    "one standard deviation.",
    "forest": "Every optimizer against the best baseline of each task: paired difference over "
    "seeds with its 95 % interval.",
    "mean_ranks": "Mean rank of each optimizer over the tasks that all were measured on, with the "
    "critical difference between two of them.",
    "profiles": "Performance profiles: which part of an optimizer's runs reaches a score, and how "
    "soon they reach the best baseline's final value; every task counts the same. In colour the "
    "baselines and the three others of highest score.",
    "tuning_budget": "What tuning costs: expected lowest validation value of n random trials of an "
    "optimizer's grid.",
    "tuning_steps": "What choosing hyperparameters from shorter runs loses, by the step of the "
    "choice.",
}
BY_TASK = {
    "sensitivity": "Tuning grids on {task}{rest}: each point's distance from the optimizer's best "
    "in the validation value that chooses; the chosen point is framed.",
}
HEADING = "# Figures\n\nEach follows from the records; a click on a name gives its PDF.\n"


def caption(
    study: Study, name: str, whole: Mapping[str, str] = WHOLE, by_task: Mapping[str, str] = BY_TASK
) -> str:
    """The caption of a figure.

    Args:
      study: whose task's titles.
      name: of the file.
      whole: captions by name.
      by_task: captions by the beginning of a name, with fields ``task`` and ``rest`` (what the name
        says beside them, in brackets).

    Raises:
      KeyError: no caption is known.
    """
    if name in whole:
        return whole[name]
    for start in sorted(by_task, key=len, reverse=True):
        if name.startswith(f"{start}_"):
            said = name.removeprefix(f"{start}_")
            task = next((t for t in sorted(study.tasks, key=len, reverse=True) if t in said), said)
            rest = said.replace(task, "").strip("_").replace("_", " ")
            return by_task[start].format(task=study.title(task), rest=f" ({rest})" if rest else "")
    raise KeyError(f"the figure {name} has no caption")


def index(names: Iterable[str], captioned: Callable[[str], str]) -> str:
    """A page in Markdown with every figure and its caption.

    Args:
      names: of the files, in the order of the page.
      captioned: a name -> its caption.
    """
    parts = [
        f"## [{name}]({name}.pdf)\n\n{captioned(name)}\n\n![{name}]({name}.png)\n" for name in names
    ]
    return "\n".join([HEADING, *parts])
