"""What the proxy serves and reloads: routes and their authentication, status, settings, preflight."""
