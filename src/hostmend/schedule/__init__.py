"""Audits and remediations by the calendar: systemd timers, or cron where there is no systemd.

``calendar`` checks when, ``model`` is what a schedule is, ``files`` are the texts of units and cron, ``account`` is the user
that it runs as, ``manage`` installs, lists and removes, and ``runner`` is what the timer starts.
"""
