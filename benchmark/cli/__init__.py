"""One file a command: argv, exit codes, progress."""
