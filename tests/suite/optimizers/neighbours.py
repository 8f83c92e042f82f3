"""The neighbours made here, by name, as functions of the learning rate."""

import optax

from rllc.suite.optimizers.adabound import adabound
from rllc.suite.optimizers.cautious import cautious_adamw, cautious_lion
from rllc.suite.optimizers.critical_gradients import critical_adam, critical_sgd
from rllc.suite.optimizers.diffgrad import diffgrad
from rllc.suite.optimizers.dog import averaged
from rllc.suite.optimizers.fixed_laws import aggmo, qhm
from rllc.suite.optimizers.hypergradient import adam_hd, hdm, sgd_hd
from rllc.suite.optimizers.mada import mada
from rllc.suite.optimizers.mars import mars_adamw
from rllc.suite.optimizers.muon import muon
from rllc.suite.optimizers.muon_split import muon_split
from rllc.suite.optimizers.soap import soap
from rllc.suite.optimizers.swats import swats
from rllc.suite.optimizers.wrapped import wrap_adam, wrap_momentum
from tests.method.contract import start

NEIGHBOURS = {
    "adabound": adabound,
    "critical_adam": critical_adam,
    "critical_sgd": lambda rate: critical_sgd(rate, momentum=0.9, capacity=2),
    "diffgrad": diffgrad,
    "swats": lambda rate: swats(rate, switch_tolerance=10.0, b2=0.9),  # SGD from the third step on
    "hdm": hdm,
    "sgd_hd": sgd_hd,
    "adam_hd": lambda rate: adam_hd(rate, 0.01),
    "aggmo": aggmo,
    "qhm": qhm,
    "averaged": lambda rate: averaged(optax.sgd(rate)),
    "cautious_adamw": lambda rate: cautious_adamw(rate, weight_decay=0.1),
    "cautious_lion": lambda rate: cautious_lion(rate, weight_decay=0.1),
    "mars_adamw": mars_adamw,
    "mada": mada,
    "soap": lambda rate: soap(rate, frequency=2),
    "wrap_adam": wrap_adam,
    "wrap_momentum": wrap_momentum,
    "muon_split": lambda rate: muon_split(rate, rate),
    "muon": muon,
}


def gradients(count):
    return [start()[1](t) for t in range(count)]
