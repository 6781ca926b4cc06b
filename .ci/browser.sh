# Pages are tested in a real browser. Here it must be there: with MMKE_CHROMIUM set, its tests fail without it instead
# of being skipped.
# A machine that has another browser names it.
if [ -z "${MMKE_CHROMIUM:-}" ] && ! command -v chromium > /dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    echo "installing chromium"
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core > /dev/null
fi
MMKE_CHROMIUM=${MMKE_CHROMIUM:-$(command -v chromium)}
export MMKE_CHROMIUM
