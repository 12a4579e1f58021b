#!/bin/sh
# Starts the proxy with a master key: the given one, or one that is generated once and kept.
set -eu

key_file=/var/lib/routebalance/master-key
if [ -z "${LITELLM_MASTER_KEY:-}" ]; then
    if [ ! -s "$key_file" ]; then
        umask 077
        routebalance-python -c 'import secrets; print("sk-" + secrets.token_hex(24))' > "$key_file"
    fi
    LITELLM_MASTER_KEY=$(cat "$key_file")
    export LITELLM_MASTER_KEY
    echo "The master key is in $key_file: docker compose exec proxy cat $key_file"
fi
# LiteLLM connects to whatever DATABASE_URL names.
[ "${DATABASE:-1}" != 0 ] || unset DATABASE_URL

exec routebalance-python -m rb_litellm.launcher "$@"
