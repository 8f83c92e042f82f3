"""How fast it is: measurements, peers, and the tables and plots made of them.

One file per question: `rates` (what the device can do), `update` (an optimizer's update alone),
`steps` (whole training steps), `throughput` (sweeps against three peers), `scaling`,
`compilation`. Each gives rows (dicts) of one table; `store` keeps one CSV per table, rows of
other devices included; `report` and `plots` are pure functions of those tables. Nothing here
needs Hydra or the network.
"""
