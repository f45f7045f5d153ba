#!/bin/sh
# Judges every image of a list by a trust policy, and looks what is in each up in today's
# vulnerability database. For cron, which mails what it says:
#
#   30 4 * * *  kubectl get pods -A -o yaml >/tmp/pods.yaml && rescan.sh /etc/forge/trust.hcl /tmp/pods.yaml /var/lib/rescan
#
# It reads the signed SBOMs: no image is pulled. Verdicts lie in the folder, one of each image.
# Exit codes: 0 all good, 3 something was found, 4 something is not verified, 1 or 2 it could
# not be judged.
set -u
policy=${1:?the trust policy}
list=${2:?the list of images: one a line, or Kubernetes manifests}
out=${3:-rescan}
mkdir -p "$out" || exit 1
worst=0

# worse remembers the worst exit code: not verified, then found, then the rest.
worse() {
	case $worst,$1 in
	*,0 | 4,*) ;;
	*,4 | 0,*) worst=$1 ;;
	3,*) ;;
	*,3) worst=3 ;;
	esac
}

forge verify --quiet --policy "$policy" --all "$list" >"$out/verified.txt" 2>"$out/verify.log"
code=$?
worse $code
[ $code = 0 ] || cat "$out/verify.log" >&2

while read -r image; do
	name=$(printf '%s' "$image" | tr -c 'A-Za-z0-9._-' '_')
	forge attestation --policy "$policy" --type sbom "$image" >"$out/$name.sbom.json" 2>"$out/$name.log"
	code=$?
	if [ $code = 0 ]; then
		forge scan --quiet --output "$out/$name.scan.json" "$out/$name.sbom.json" >"$out/$name.txt" 2>"$out/$name.log"
		code=$?
	fi
	worse $code
	if [ $code != 0 ]; then
		echo "rescan: $image: exit code $code"
		cat "$out/$name.log" >&2
	fi
done <"$out/verified.txt"
exit "$worst"
