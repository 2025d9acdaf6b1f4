#!/usr/bin/env bash
# The report is looked at in Debian's Chromium. It is installed where apt-get is there and may be used, as in a
# container; elsewhere the tests that need it are skipped, and say so.
set -u
command -v chromium > /dev/null && command -v chromedriver > /dev/null && exit 0
packages="chromium chromium-driver fonts-dejavu-core"
if command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends $packages > /dev/null && exit 0
fi
echo "no Chromium: tests of the report in a browser are skipped (apt-get install $packages)"
