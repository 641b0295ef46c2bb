"""What is around a `WindowWriter`, at random, and a model of it that is compared in each cycle."""

from collections import Counter

from hdl.config import SMALL
from hdl.soc.window_writer import LINGER


def word(rng, *, last):
    return {
        "bank": rng.randrange(4),
        "address": rng.randrange(1 << SMALL.bank_address_bits),
        "data": [rng.randrange(256) for _ in range(SMALL.rows)],
        "last": int(last),
    }


def written(ctx, port):
    """What the memory is told to write, as a word that is not its window's last."""
    data = ctx.get(port.data)
    return {
        "bank": ctx.get(port.bank),
        "address": ctx.get(port.address),
        "data": [data >> 8 * k & 0xFF for k in range(SMALL.rows)],
        "last": 0,
    }


class Bench:
    """All around a writer: a source of windows, a memory that takes its time, runs, and a host.

    What happens is counted in ``seen``; what the writer may do is checked in every cycle.
    """

    def __init__(self, rng):
        self.rng = rng
        self.seen = Counter()
        self.queue, self.windows = [], 0
        self.offered, self.ready_in = False, 0
        self.running, self.host_for = 0, 0
        self.full, self.started, self.was_host, self.was_taken = False, False, False, False
        self.opened, self.was_enable = False, False
        self.lone, self.silent, self.calm = 0, 0, False

    def new_window(self):
        """Words of a window; the source offers no other one before its last."""
        count = self.rng.randint(1, 6)
        self.queue = [word(self.rng, last=k == count - 1) for k in range(count)]

    def offer(self, ctx, dut):
        """A word now and then; sometimes the source is reset, and starts its window again."""
        chance = self.rng.random
        if not self.queue:
            self.new_window()
        if self.offered and chance() < 0.02:
            self.offered = False
            self.seen["withdrawn"] += self.was_taken
            self.new_window()
        elif not self.offered and self.silent:
            self.silent -= 1
        elif not self.offered:
            self.offered = chance() < 0.3
            if chance() < 0.04:
                self.silent = self.rng.randint(LINGER - 5, 2 * LINGER)
                self.calm = chance() < 0.7
        ctx.set(dut.i.valid, self.offered)
        ctx.set(dut.i.payload, self.queue[0] if self.offered else {})

    def surroundings(self, ctx, dut):
        """Runs that begin at any time, a host, an automatic start that changes, releases."""
        chance = self.rng.random
        calm = self.silent > 0 and self.calm
        if self.running == 0 and not calm and chance() < 0.02:
            self.running = self.rng.randint(1, 30)
            self.seen["run over a word"] += self.was_taken
        if self.host_for == 0 and not calm and chance() < 0.03:
            self.host_for = self.rng.randint(1, 12)
        release = chance() < 0.03
        self.automatic = chance() < 0.7
        ctx.set(dut.busy, self.running > 0)
        ctx.set(dut.host, self.host_for > 0)
        ctx.set(dut.release, release)
        ctx.set(dut.automatic, self.automatic)
        return release

    def memory(self, ctx, dut):
        """Ready some cycles after it was opened, and that at once if its segments are on."""
        if not ctx.get(dut.memory.open):
            self.ready_in = self.rng.choice((0, 0, 1, 5))
            ctx.set(dut.memory.ready, 0)
            return
        ctx.set(dut.memory.ready, self.ready_in == 0)
        self.ready_in = max(0, self.ready_in - 1)

    def cycle(self, ctx, dut):
        """Set the inputs of a cycle and check what the writer does in it."""
        assert ctx.get(dut.full) == self.full
        assert ctx.get(dut.started) == self.started
        self.offer(ctx, dut)
        release = self.surroundings(ctx, dut)
        self.memory(ctx, dut)
        busy, host = self.running > 0, self.host_for > 0
        taken, enable, start = (
            ctx.get(signal) for signal in (dut.taken, dut.memory.enable, dut.start)
        )
        assert ctx.get(dut.memory.open) == taken
        assert taken == (self.opened and not busy), "open at the wrong time"
        assert not (taken and not self.was_taken and self.was_host), "opened over the host"
        assert ctx.get(dut.i.ready) == enable
        assert enable == (taken and self.offered and ctx.get(dut.memory.ready)), "not at once"
        if enable:
            assert taken
            assert self.offered
            assert not self.full
            assert ctx.get(dut.memory.ready)
            assert ctx.get(dut.memory.write)
            expected = self.queue.pop(0)
            assert written(ctx, dut.memory) == expected | {"last": 0}
            self.offered = False
            self.seen["words"] += 1
        was_full, completed = self.full, enable and expected["last"]
        may = self.full and not self.started and self.automatic and not busy and not host
        assert start == (may and not release)
        self.seen["starts"] += start
        self.seen["released unstarted"] += release and self.full and not self.started
        self.seen["released in its run"] += release and self.started and busy
        if release and self.full:
            self.full = self.started = False
        if start:
            self.started, self.running = True, self.rng.randint(2, 30)
        elif self.running:
            self.running -= 1
        if completed:
            self.full = True
            self.seen["windows"] += 1
        self.host_for = max(0, self.host_for - 1) if not taken else self.host_for
        self.follow(enable, busy, host, was_full)
        self.opened &= not completed
        self.was_host, self.was_taken, self.was_enable = host, taken, enable

    def follow(self, enable, busy, host, full):
        """Model of the writer: it opens for a word, and lingers until there is a reason not to."""
        waiting = self.offered or enable
        if not self.opened:
            self.opened, self.lone = waiting and not full and not busy and not host, 0
            return
        lingers = not waiting and not busy
        self.seen["back to back"] += enable and self.was_enable
        self.seen["written while lingering"] += enable and self.lone > 0
        self.seen["run while lingering"] += busy and self.lone > 0 and not waiting
        self.seen["host while lingering"] += host and lingers
        self.seen["host over a word"] += host and waiting and not enable
        self.lone = 0 if enable else self.lone + lingers
        self.seen["lingered"] += lingers and self.lone == LINGER
        self.opened = not busy and not (lingers and (host or self.lone == LINGER))
