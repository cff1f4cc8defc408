//! Host, service, user and network names, looked up before rendering.
