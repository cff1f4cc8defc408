//! Rows in, bytes out: netstat tables, event text, JSON.
