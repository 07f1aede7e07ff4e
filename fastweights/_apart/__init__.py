"""Programs that run in a process of their own, by their paths.

They import nothing of the package, and lie in a folder of their own, which Python then looks for
modules in first.
"""
