/* raw_syscall.h — system calls past libc, which leave errno alone: for code that shares its memory
 * with another process. The result is the kernel's: -errno on failure (syscall(2)). */
#ifndef SYS_RAW_SYSCALL_H
#define SYS_RAW_SYSCALL_H

#if defined __x86_64__

enum { RAW_SYSCALLS = 1 };

static inline __attribute__((always_inline)) long raw_syscall(long n, long a, long b, long c,
                                                              long d, long e) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long out;
    __asm__ volatile("syscall"
                     : "=a"(out)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return out;
}

#elif defined __aarch64__

enum { RAW_SYSCALLS = 1 };

static inline __attribute__((always_inline)) long raw_syscall(long n, long a, long b, long c,
                                                              long d, long e) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

#else

enum { RAW_SYSCALLS = 0 };

static inline long raw_syscall(long n, long a, long b, long c, long d, long e) {
    (void)n, (void)a, (void)b, (void)c, (void)d, (void)e;
    return -38; /* ENOSYS */
}

#endif

#endif
