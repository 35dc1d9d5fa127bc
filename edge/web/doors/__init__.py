"""Who may see and do what is decided here: accounts, sessions, roles, and the checks that every request passes."""
