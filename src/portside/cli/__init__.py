"""The command line: one short file per command.

`application` names the commands and turns errors into exit codes, `output` prints
everything, `target` decides which AWS is spoken to. Everything else lives below.
"""
