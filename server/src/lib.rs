//! A Loki-compatible log server.
