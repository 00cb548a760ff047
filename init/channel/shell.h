/* shell.h — the shell of the image. */
#ifndef CHANNEL_SHELL_H
#define CHANNEL_SHELL_H

/* A bash, by its path; NULL: there is none. */
const char *shell_bash(void);

#endif
