"""What people and machines see of the daemon: a page, health, metrics. Read-only, from memory."""
