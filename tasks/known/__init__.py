"""Problems whose optimum is known: no data, no network, and an exact excess loss f(x) - f*.

One module each, with a function of its name: ``tasks.known.quadratic.quadratic(condition=1000)``.
"""
