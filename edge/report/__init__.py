"""Pictures and tables for people are drawn here."""
