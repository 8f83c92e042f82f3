"""Optimizers beside the paper's that optax does not have, one idea per module.

Those it names as neighbours: `adabound`, `diffgrad`, `swats`, `critical_gradients`. Rivals, whose
rates or directions adapt by another idea: `hypergradient`, `mada`, `soap`, `cautious`, `mars`.
Fixed laws of linear memory: `fixed_laws`. Of optax, told something more: `muon` (kernels of any
rank), `muon_split` (hidden ones alone), `dog` (its average), `mechanic` (around Adam). And
`wrapped`, `rllc.wrap` around baselines. Each is a small optax transformation whose numbers may be
traced, so that runs which differ only in them train as one program; `precision` is what keeps
their dtypes.
"""
