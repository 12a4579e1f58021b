#!/bin/sh
# Starts the proxy with a master key: the given one, or one that is generated once and kept.
set -eu

key_file=/var/lib/routebalance/master-key
if [ -z "${LITELLM_MASTER_KEY:-}" ]; then
    if [ ! -s "$key_file" ]; then
        (umask 077 && routebalance-python -c 'import secrets; print("sk-" + secrets.token_hex(24))' > "$key_file")
    fi
    LITELLM_MASTER_KEY=$(cat "$key_file")
    export LITELLM_MASTER_KEY
    echo "The master key is in $key_file: docker compose exec proxy cat $key_file"
else
    (umask 077 && printf '%s' "$LITELLM_MASTER_KEY" > "$key_file")
fi
# Prometheus of the `monitoring` profile, another user, reads it in a folder of its own.
metrics_file=/var/lib/routebalance-scraping/metrics-key
if [ -z "${ROUTEBALANCE_METRICS_KEY:-}" ]; then
    if [ ! -s "$metrics_file" ]; then
        routebalance-python -c 'import secrets; print("scrape-" + secrets.token_hex(24))' > "$metrics_file"
    fi
    ROUTEBALANCE_METRICS_KEY=$(cat "$metrics_file")
    export ROUTEBALANCE_METRICS_KEY
else
    printf '%s' "$ROUTEBALANCE_METRICS_KEY" > "$metrics_file"
fi
chmod 644 "$metrics_file"
# LiteLLM connects to whatever DATABASE_URL names, and needs Prisma's client for it.
if [ "${DATABASE:-1}" = 0 ]; then
    unset DATABASE_URL
elif ! routebalance-python -c 'from prisma import Prisma' 2>/dev/null; then
    echo "WARNING: no database and no Admin UI: this image has no Prisma engines. Build it on LiteLLM's own image (BASE)." >&2
    unset DATABASE_URL
fi

exec routebalance-python -m rb_litellm.launcher "$@"
