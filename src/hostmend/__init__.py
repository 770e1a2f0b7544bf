"""The controller of hostmend: catalogue, findings, runs, reports and the command line."""

__version__ = "0.1.0"
