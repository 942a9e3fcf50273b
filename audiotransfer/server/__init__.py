"""`audiotransfer serve`: an HTTP API for transfers, and one page to listen to and mix them.

The server's process knows no torch: songs are read, transferred and mixed in worker processes.
"""
