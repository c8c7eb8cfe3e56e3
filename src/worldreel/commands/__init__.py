"""What each command of the command line does, a module each; only these print."""
