"""The table and the plot of docs/performance.md, from the results under build/bench."""
import json
import os
import statistics
import sys

from common import fastest_peer, judged, met, ratio, share

BEGIN = '<!-- begin of the tables that make bench writes -->'
END = '<!-- end of the tables that make bench writes -->'
TITLES = [('smollm2', 'SmolLM2 135M (576 wide), Q4_1'), ('types', 'SmolLM2 in other types'),
          ('shapes', 'Random weights in the shape of larger models'), ('threads', 'Threads'),
          ('busy', 'One core kept busy by another process'), ('masks', 'Answers with a shape'), ('embed', 'Embeddings: all-MiniLM-L6-v2'),
          ('quality', 'Quality'), ('load', 'Loading'), ('text', 'Tokenizers, and guesses from the prompt'),
          ('blas', 'Float products alone'), ('rows', 'Rows of a table')]


def number(x):
    return '%.0f' % x if x >= 100 else '%.1f' % x if x >= 10 else '%.3g' % x


def line(row):
    peer = fastest_peer(row)
    cells = [row['work'], row['model'], str(row['threads'] or ''), number(statistics.median(row['ours'])) + ' ' + row['unit']]
    others = ['%s %s' % (n, number(statistics.median(v))) for n, v in row['peers'].items()]
    cells.append(', '.join(others) or row['note'])
    cells.append('%.2f' % ratio(row, peer) if peer else '')
    part = share(row)
    cells.append('%.0f %% of %s' % (100 * part, row['bound_of']) if part is not None else '')
    wanted = [w for w in ('%.3g×' % row['want_ratio'] if row['want_ratio'] else '',
                          '%.0f %%' % (100 * row['want_share']) if row['want_share'] else '') if w]
    verdict = met(row)
    cells.append(' or '.join(wanted) + ('' if verdict is None else ': not judged' if not judged(row) else ': met' if verdict else ': **not met**'))
    cells.append(str(len(row['ours'])))
    return '| ' + ' | '.join(cells) + ' |'


def table(result, title):
    rows = result['rows']
    stolen = [x for r in rows for x in r['stolen'] if x is not None]
    others = [x for r in rows for x in r['others'] if x is not None]
    out = ['### ' + title, '', '| work | model | threads | pg_llm | others | ratio | share of the limit | wanted | rounds |',
           '|---|---|---|---|---|---|---|---|---|'] + [line(r) for r in rows] + ['']
    notes = sorted({r['note'] for r in rows if r['note'] and r['peers']})
    out += ['- ' + n for n in notes] + ([''] if notes else [])
    about = ('%s, commit %s, %s, %d threads: %.1f GB/s, %.0f G int8 (%s) and %.0f G float32 multiply-adds/s.' %
             (result['date'], result['commit'], result['cpu'], result['threads'], result['machine']['read_gbytes'],
              result['machine']['int8_gmacs'], result['machine']['int8_with'], result['machine']['float_gfmas']))
    if stolen:
        about += ' Meanwhile %.0f %% of the processor time was stolen' % (100 * statistics.mean(stolen))
        about += ' and %.0f %% used by other processes.' % (100 * statistics.mean(others)) if others else '.'
    out.append(about)
    return out + ['']


def plot(rows, path):
    """ratios to the fastest peer as bars on a logarithmic scale from 0.25 to 16"""
    import math
    bars = [(r['work'] + ', ' + r['model'], ratio(r, fastest_peer(r))) for r in rows if fastest_peer(r)]
    left, width, high = 330, 420, 18
    x = lambda v: left + width * (math.log2(min(max(v, 0.25), 16)) + 2) / 6
    escape = lambda t: t.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="820" height="%d" font-family="sans-serif" font-size="11">' %
           (high * len(bars) + 50), '<rect width="100%" height="100%" fill="white"/>',
           '<text x="%d" y="14">speed of pg_llm / fastest other program, median over rounds</text>' % left]
    for v in (0.25, 0.5, 1, 2, 4, 8, 16):
        out.append('<line x1="%.1f" x2="%.1f" y1="34" y2="%d" stroke="%s"/><text x="%.1f" y="30" text-anchor="middle">%g</text>' %
                   (x(v), x(v), 36 + high * len(bars), '#444' if v == 1 else '#ddd', x(v), v))
    for i, (name, v) in enumerate(bars):
        y = 38 + i * high
        lo, hi = sorted((x(1), x(v)))
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>'
                   '<text x="%.1f" y="%d">%.2f</text>' % (left - 8, y + 11, escape(name), lo, y + 2, hi - lo, high - 6,
                                                          '#2b6cb0' if v >= 1 else '#c05621', hi + 4, y + 11, v))
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(out + ['</svg>']) + '\n')


def write(folder, out):
    results = {}
    for group, _ in TITLES:
        path = os.path.join(folder, group + '.json')
        if os.path.exists(path):
            results[group] = json.load(open(path, encoding='utf-8'))
    text = '\n'.join(x for group, title in TITLES if group in results for x in table(results[group], title))
    print(text)
    if not out:
        return
    plot([r for group, _ in TITLES if group in results for r in results[group]['rows']], os.path.splitext(out)[0] + '.svg')
    page = open(out, encoding='utf-8').read() if os.path.exists(out) else BEGIN + '\n' + END + '\n'
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit('bench: %s has no place for the tables' % out)
    with open(out, 'w', encoding='utf-8') as f:
        f.write(before + BEGIN + '\n' + text + '\n' + END + after)


if __name__ == '__main__':
    write(*sys.argv[1:3])
