"""The command line: commands, addresses that a person types, tables. It imports the ways in, and SDKs never."""
