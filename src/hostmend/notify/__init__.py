"""Notifications: what is new after a run goes to the channels of a YAML file, through apprise.

``settings`` reads the file, ``news`` says what is worth a message, ``pending`` keeps what must wait, ``deliver`` hands a
message to apprise in a process of its own, and ``dispatch`` ties them together.
"""
