"""Where components run if not on this machine: each module is a backend, and can be deleted."""
