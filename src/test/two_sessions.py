"""
two_sessions.py: statements that wait for rows which another session has changed, and then look at them again (EvalPlanQual).

For batch_statements.py. A session changes rows and leaves its transaction open; the statement starts in another and waits; the first
commits. No clock decides: the server says when the statement waits, and one that meets none of those rows just ends.
"""
import os
import select
import subprocess
import time

MARK = "--- done"


class Session:
    def __init__(self, psql, start):
        self.process = subprocess.Popen(psql + ["-X", "-q", "-A", "-t", "-v", "VERBOSITY=terse"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.pid = self.run("SELECT pg_backend_pid();").strip()
        self.run("\n".join(start))

    def send(self, sql):
        self.process.stdin.write((sql + f"\n\\echo {MARK}\n").encode())
        self.process.stdin.flush()
        self.answer = b""

    def done(self, seconds):
        """whether all that was sent has been answered, after so many seconds at most"""
        end = time.monotonic() + seconds
        while MARK.encode() not in self.answer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))
            if not ready:
                return False
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise RuntimeError("psql ended: " + self.answer.decode())
            self.answer += data
        return True

    def result(self):
        if not self.done(600):
            raise RuntimeError("no answer in ten minutes")
        return self.answer.decode().replace(MARK + "\n", "").replace("psql:<stdin>:", "psql:")

    def run(self, sql):
        self.send(sql)
        return self.result()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def without_lines(text):
    """psql may name the line of its input; it differs with what waiting needed"""
    return "\n".join(line.split(": ", 1)[-1] if line.startswith("psql:") else line for line in text.split("\n"))


def outcomes(psql, start, statements):
    """for each of (table, what the other session does, statement): rows or errors, and the table then"""
    other, mine = Session(psql, start), Session(psql, start)
    waits = f"SELECT count(*) FROM pg_locks WHERE pid = {mine.pid} AND NOT granted;"
    for target, change, statement in statements:
        other.run(f"CREATE TABLE kept AS SELECT i, t, k, n FROM {target};")
        other.run(f"BEGIN; {change};")
        mine.send(f"BEGIN; {statement};")
        waited = False
        while not mine.done(0.02):
            if other.run(waits).strip() != "0":
                waited = True
                break
        other.run("COMMIT;")
        result = mine.result() + mine.run(f"SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM {target} x; ROLLBACK;"
                                          "SELECT last_value FROM s; SELECT setval('s', 1);")
        other.run(f"TRUNCATE {target}; INSERT INTO {target} (i, t, k, n) SELECT * FROM kept; DROP TABLE kept;")
        yield f"{'waited' if waited else 'did not wait'}\n{without_lines(result)}"
    other.close()
    mine.close()
