"""Hydra's plug-in folder: makes the launcher of grouped runs known to `train.py` beside it."""

from rllc.suite.execute import launcher


class GroupedLauncher(launcher.GroupedLauncher):
    __doc__ = launcher.GroupedLauncher.__doc__
