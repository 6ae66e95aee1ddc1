"""The twin: a cloud on this machine, for the demo and the story tests.

It speaks Google's own protocols over real sockets, so that the product is reached only through its
endpoint settings or a proxy, by Google's real clients. It is never deployed, and it imports nothing
of the product. `twin/README.md` says how it is used and where it differs from the real thing.
"""
