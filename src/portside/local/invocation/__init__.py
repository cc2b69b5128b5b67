"""The way of one invocation: its headers and limits, streams, sessions, capture, faults."""
