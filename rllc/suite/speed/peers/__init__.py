"""The same networks trained the ordinary ways, each in a process of its own.

`worker` is run by path, so that the environment of a peer needs nothing of this project's.
"""
