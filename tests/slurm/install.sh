#!/bin/sh
# Installs Debian's Slurm for `make test-slurm`: 14 MB, half a minute. It starts no service.
set -eu
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Slurm and munge are installed by root with apt-get; here there is none" >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurm-wlm munge
