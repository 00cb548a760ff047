/* persona.h — the three programs that plain.h is dressed up as. Each parses its flags
 * and environment, then returns the exit status of what it ran. */
#ifndef COMPAT_PERSONA_H
#define COMPAT_PERSONA_H

int tini_main(int argc, char **argv);
int dumb_init_main(int argc, char **argv);
int catatonit_main(int argc, char **argv);

/* One line, or several, in one write(2); cut at MAX_PLAIN_LINE. Formatted output is kept
 * off the path that starts and ends a program. */
__attribute__((format(printf, 2, 3))) void say(int fd, const char *fmt, ...);

/* A constant text of any length. */
void say_text(int fd, const char *text);

#endif
