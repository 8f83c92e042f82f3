"""Captions of the figures that only this paper has, beside those of any study."""

from rllc.replication.paper import STUDY
from rllc.suite.show import captions

WHOLE = {
    "figure1": "The paper's Figure 1: test accuracy over training, CIFAR-10 ResNet-20. Mean over "
    "seeds, bands of one standard deviation.",
    "figure2": "The paper's Figure 2: the learning law over training, for M(0.9)⊕M(0.0) and "
    "M(0.9)⊕M(0.8)⊕M(0.7); from the initial law and on the task that show what the paper's does, "
    "if any do.",
    "figure3": "The paper's Figure 3: time of one training step on CIFAR-10, by network.",
    "figure4": "The paper's Figure 4: test accuracy over training on the MLP and Conv tasks. Mean "
    "over seeds.",
    "figure5": "The paper's Figure 5: as Figure 4, with the range of the first three seeds; two "
    "baselines and two RLLC optimizers, every 1,000 steps.",
    "questions": "Choices that the paper leaves open: how far each answer brings us from its "
    "numbers.",
    "short_horizon": "Corrections of a law that is held against the training loss, by batch size; "
    "bands are the deviation over seeds.",
}
BY_TASK = {
    "figure2": "Figure 2 again, on {task}{rest}.",
    "figure2_first": "Figure 2 again, on {task}, where the law begins at its first unit alone.",
    "law_rates": "Law rates on {task}{rest}: accuracy, and what is left of the law, by the rate at "
    "which it learns.",
}


def caption(name: str) -> str:
    """The caption of one of the replication's figures."""
    return captions.caption(
        STUDY, name, {**captions.WHOLE, **WHOLE}, {**captions.BY_TASK, **BY_TASK}
    )
