#!/usr/bin/env python3
"""What `make bench` runs: measures groups of work beside other programs and writes build/bench/GROUP.json after every round.

Groups: smollm2, types, shapes, threads, busy (speed.py), masks (masks.py), embed (embed.py), quality (quality.py), load (load.py), text (text.py), blas (blas.py), rows
(rows.py; needs a server, so `make bench-rows`). report.py makes the table and the plot of docs/performance.md from all results that are there.
"""
import argparse
import datetime
import json
import os
import time

import common
import report

SPEED = ('smollm2', 'types', 'shapes', 'threads', 'busy')


def measure(group, a, more):
    if group in SPEED:
        import speed
        return speed.measure(group, a.threads, a.rounds, more)
    module = __import__(group)
    return module.measure(a.threads, a.rounds, more)


def cpu_name():
    for line in open('/proc/cpuinfo'):
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return 'unknown processor'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--what', default=' '.join(SPEED + ('masks', 'embed', 'quality', 'load', 'text', 'blas')))
    parser.add_argument('--threads', type=int, required=True)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--minutes', type=float, default=0, help='stop a group after these; 0: after its rounds')
    parser.add_argument('--out', default='')
    a = parser.parse_args()
    os.makedirs('build/bench', exist_ok=True)
    machine = common.probe(a.threads)
    for group in a.what.replace(',', ' ').split():
        end = time.monotonic() + a.minutes * 60 if a.minutes else float('inf')
        for rows in measure(group, a, lambda: time.monotonic() < end):
            result = {'group': group, 'date': datetime.date.today().isoformat(), 'cpu': cpu_name(), 'threads': a.threads,
                      'machine': machine, 'commit': common.run('git', 'rev-parse', '--short', 'HEAD').strip(), 'rows': rows}
            with open('build/bench/%s.json.part' % group, 'w', encoding='utf-8') as f:
                json.dump(result, f, indent=1)
            os.replace('build/bench/%s.json.part' % group, 'build/bench/%s.json' % group)
    report.write('build/bench', a.out)


main()
