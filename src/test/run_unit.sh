#!/usr/bin/env bash
# Run unit test programs, as many at once as there are processors; print each one's name and time; fail if any fails.
set -u
run_one()
{
	local program=$1
	local start
	start=$(date +%s)
	if "$program" > "$program.log" 2>&1; then
		echo "ok      $(basename "$program") ($(($(date +%s) - start)) s)"
	else
		printf 'FAILED  %s, last lines of %s.log:\n%s\n' "$(basename "$program")" "$program" \
			"$(tail -n 40 "$program.log" | sed 's/^/    /')"
		return 1
	fi
}
passed=0
failed=0
count() { if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi; }
running=0
for program in "$@"; do
	if [ "$running" -ge "$(nproc)" ]; then
		wait -n
		count $?
		running=$((running - 1))
	fi
	run_one "$program" &
	running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
	wait -n
	count $?
	running=$((running - 1))
done
echo "unit: $passed passed, $failed failed"
[ "$failed" = 0 ]
