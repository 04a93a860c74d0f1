#!/usr/bin/env bash
# Run unit test programs one by one; print each one's name and time; fail if any fails.
set -u
passed=0
failed=0
for program in "$@"; do
	start=$(date +%s)
	if "$program" > "$program.log" 2>&1; then
		passed=$((passed + 1))
		echo "ok      $(basename "$program") ($(($(date +%s) - start)) s)"
	else
		failed=$((failed + 1))
		echo "FAILED  $(basename "$program"), last lines of $program.log:"
		tail -n 40 "$program.log" | sed 's/^/    /'
	fi
done
echo "unit: $passed passed, $failed failed"
[ "$failed" = 0 ]
