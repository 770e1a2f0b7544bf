"""The agent of hosts that audit themselves, and what the controller makes of its reports.

``host``, ``keep`` and ``signature`` travel to hosts in one zip (``build``): standard library only, Python 3.6 or newer.
``build`` and ``report_verification`` are the controller's.
"""
