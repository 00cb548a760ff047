#!/usr/bin/env python3
"""exec -it in a pane of tmux, which is a terminal that can be asked what stands on it: programs that
take the whole screen, its size, keys, job control, and what is left afterwards."""
import atexit
import os
import re
import shutil
import subprocess
import sys

from box import Box, program
from cli import CLEAN
from tap import Tap, wait_for

t = Tap()
TMUX = shutil.which("tmux")
if not TMUX:
    print("1..0 # SKIP no tmux")
    sys.exit()


class Pane:
    """The one pane of a tmux of its own."""

    def __init__(self, env, *argv):
        self.tmux = [TMUX, "-u", "-S", f"{t.dir}/tmux", "-f", "/dev/null"]
        self.env = {**env, "LC_ALL": "C.UTF-8", "TERM": "screen"}
        atexit.register(subprocess.run, [*self.tmux, "kill-server"], stderr=subprocess.DEVNULL)
        self("new-session", "-d", "-x", "80", "-y", "24", *argv)
        self("set-option", "-g", "default-terminal", "screen")

    def __call__(self, *args):
        return subprocess.run([*self.tmux, *args], env=self.env, stdout=subprocess.PIPE, text=True,
                              timeout=10, check=True).stdout

    def type(self, *keys):
        """Keys by tmux's names, or as they are: "C-c", "Up", "Enter", "text"."""
        self("send-keys", *keys)

    def line(self, text):
        self("send-keys", "-l", text)
        self.type("Enter")

    def resize(self, columns, rows):
        self("resize-window", "-x", str(columns), "-y", str(rows))

    def rows(self):
        return self("capture-pane", "-p").split("\n")[:-1]

    def shows(self, *texts, seconds=5):
        """Whether these come to stand on the screen; patterns, for whole lines if they say so."""
        return wait_for(lambda: (seen := "\n".join(self.rows())) and all(
            re.search(x, seen, re.M) for x in texts), seconds)

    def modes(self):
        """What the program on it has switched."""
        names = ("alternate_on", "cursor_flag", "keypad_flag", "keypad_cursor_flag", "insert_flag",
                 "wrap_flag", "mouse_any_flag", "scroll_region_upper", "scroll_region_lower")
        values = self("display-message", "-p", " ".join(f"#{{{n}}}" for n in names)).split()
        return dict(zip(names, values))

    def returned(self):
        """Wait for the shell to be in front: what is typed before is somebody else's."""
        wait_for(lambda: self("display-message", "-p", "#{pane_current_command}").strip() == "bash")

    def __str__(self):
        return "\n".join([str(self.modes()), *self.rows()])


FULL = program(t, """
import curses, signal

def main(screen):
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append("interrupted"))
    curses.curs_set(0)
    screen.timeout(50)
    word = "drawn"
    while True:
        rows, columns = screen.getmaxyx()
        screen.erase()
        screen.addstr(0, 0, f"size {rows}x{columns} {word}", curses.A_REVERSE)
        screen.addstr(rows - 1, columns - 7, "corner")
        screen.refresh()
        key = screen.getch()
        if heard:
            word = heard.pop()
        elif key == ord("q"):
            return
        elif key == curses.KEY_UP:
            word = "up"

curses.wrapper(main)
raise SystemExit(3)
""")
with open(f"{t.dir}/text", "w") as f:
    f.writelines(f"line {i} of a long text\n" for i in range(1, 1001))

b = Box(t, "", ["sleep", "600"])
if not t.ok(b.wait_ready(), "the box is there", b):
    t.done()
env = {k: v for k, v in os.environ.items() if k not in (*CLEAN, "TMUX", "TMUX_PANE")}
env |= {"PINNACE_RUN_DIR": b.run_dir, "PS1": "outer$ ", "HISTFILE": "", "LESS": "", "LESSHISTFILE": "-"}
p = Pane(env, "bash", "--norc", "--noprofile", "-i")
p.line(f"PATH={os.path.dirname(t.binary('pinnace'))}:$PATH; TERM=screen; clear; stty -g >{t.dir}/before")
p.line("echo before")
t.ok(p.shows("^before$"), "a shell in tmux", p)
plain = p.modes()


def same_line():
    """Are the modes of the shell's line those of before?"""
    with open(f"{t.dir}/before") as f, open(f"{t.dir}/after") as g:
        return f.read() == g.read()


def back(status, name):
    """The screen and its modes are as they were, and the shell goes on with this status."""
    p.returned()
    now = wait_for(lambda: p.modes() == plain and p.modes())
    t.ok(now == plain, f"{name}: the terminal is as it was", (plain, p))
    p.line(f"echo status $?; stty -g >{t.dir}/after")
    t.ok(p.shows("^before$", f"^status {status}$"), f"{name}: its screen is back, status {status}", p)
    p.line("clear; echo before")
    p.shows(r"\Abefore$")
    t.ok(same_line(), f"{name}: and the line's modes", p)


# --- a program that takes the whole screen
p.line("pinnace exec -it " + " ".join(FULL))
t.ok(p.shows(r"\Asize 24x80 drawn") and p.rows()[23].endswith("corner"),
     "a full screen is drawn, to its corner", p)
m = p.modes()
t.ok(m["alternate_on"] == "1" and m["cursor_flag"] == "0", "on the other screen, without a cursor", m)
p.resize(101, 33)
t.ok(p.shows(r"\Asize 33x101 ") and wait_for(lambda: p.rows()[32].endswith("corner")) and
     p.rows()[32].index("corner") == 94, "it follows the window's size", p)
p.resize(60, 12)
t.ok(p.shows(r"\Asize 12x60 ") and wait_for(lambda: p.rows()[11].endswith("corner")),
     "also to a smaller one", p)
p.type("Up")
t.ok(p.shows("12x60 up"), "a key that is several bytes", p)
p.type("C-c")
t.ok(p.shows("12x60 interrupted"), "Ctrl-C is the program's, which goes on", p)
p.resize(80, 24)
p.shows(r"\Asize 24x80 ")
p.type("q")
back(3, "curses")

if shutil.which("less"):
    p.line(f"pinnace exec -it less {t.dir}/text")
    t.ok(p.shows(r"\Aline 1 of", "^line 23 of"), "less: a page", p)
    p.type("Space")
    t.ok(p.shows(r"\Aline 24 of"), "the next one", p)
    p.resize(80, 40)
    t.ok(p.shows(r"\Aline 24 of", "^line 62 of"), "more of it in a larger window", p)
    p.line("/line 500")
    t.ok(p.shows(r"\Aline 500 of"), "what is searched for", p)
    p.resize(80, 24)
    p.type("q")
    back(0, "less")

# --- a shell with job control, and the same in it
p.line("PS1='inner$ ' pinnace exec -it -e PS1 bash --norc --noprofile -i")
p.shows("^inner")
p.line("echo tty $(tty); stty -g >/dev/null && echo shell-$((1+1))")
t.ok(p.shows("^tty /dev/pts/", "^shell-2$") and not p.shows("no job control", seconds=0),
     "a shell that controls its terminal", p)
p.line("sleep 600")
p.type("C-z")
t.ok(p.shows(r"Stopped\s+sleep 600"), "Ctrl-Z stops what runs in front", p)
p.line("fg")
p.shows("^sleep 600$")
p.type("C-c")
p.shows(r"^\^C")
p.line("echo then $?")
t.ok(p.shows("^then 130$"), "fg and Ctrl-C", p)
p.line("clear; " + " ".join(FULL) + "; echo stopped $?")
t.ok(p.shows(r"\Asize 24x80 drawn"), "a full screen from there", p)
p.type("C-z")
t.ok(p.shows(r"Stopped", "^stopped 148$") and p.modes() == plain, "Ctrl-Z gives the screen back", p)
p.line("fg; echo left $?")
t.ok(p.shows(r"\Asize 24x80 drawn") and p.modes()["alternate_on"] == "1", "fg draws it anew", p)
p.resize(90, 30)
t.ok(p.shows(r"\Asize 30x90 "), "and its size is followed again", p)
p.resize(80, 24)
p.shows(r"\Asize 24x80 ")
p.type("q")
t.ok(p.shows("^left 3$") and p.modes() == plain, "and its end", p)
p.line("clear; echo before; exit 9")
p.shows("^before$", "^outer")
back(9, "bash")

# --- ends that the program does not see
WIPE = "printf '\\033[?1049l\\033[?25h\\033[?1l\\033>'"
for what, end, status in (("killed", lambda: b.client("kill", "full"), 137),
                          ("cut off", lambda: os.kill(b.role("channel"), 9), 125)):
    p.line("pinnace exec -it --tag full " + " ".join(FULL))
    p.shows(r"\Asize 24x80 drawn")
    end()
    p.returned()
    p.line(f"status=$?; stty -g >{t.dir}/after; {WIPE}; clear; echo status $status; echo before")
    t.ok(p.shows(rf"\Astatus {status}$", "^before$") and same_line(), f"{what}: the line's modes", p)
p.line("exit")
t.done()
