"""The daemon as a service of the system: its files, and the manager that runs what they say."""
