/* title.h — what ps(1) shows for a fork of ours: "pinnace: log". */
#ifndef SYS_TITLE_H
#define SYS_TITLE_H

/* Make room for titles. Call first thing in main: it moves argv and the environment
 * away from where the kernel put them (setproctitle_init(3bsd)). */
void title_init(int argc, char **argv);

/* "pinnace: WHAT", cut to the room there is; also the thread's name. */
void title_set(const char *what);

#endif
