"""The server's Python side: options, sockets and signals."""
