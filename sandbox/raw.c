/*
 * The part of a libc that a freestanding program cannot do without: an entry point with an aligned
 * stack, clone onto a new stack, and the five functions that the compiler may call by itself.
 * No data with relocations, so the program is the same wherever it is mapped.
 */
#include "sandbox/raw.h"

/* The compiler would turn these loops into calls of the very functions they make up. */
#define BARRIER() __asm__ volatile("" ::: "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
#if defined(__x86_64__)
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
#else
    char *d = to;
    const char *s = from;
    for (size_t i = 0; i < n; i++) {
        d[i] = s[i];
        BARRIER();
    }
#endif
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= n)
        return memcpy(to, from, n);
    for (size_t i = n; i > 0; i--) {
        d[i - 1] = s[i - 1];
        BARRIER();
    }
    return to;
}

void *memset(void *to, int byte, size_t n)
{
#if defined(__x86_64__)
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) : "memory");
#else
    char *d = to;
    for (size_t i = 0; i < n; i++) {
        d[i] = (char)byte;
        BARRIER();
    }
#endif
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
        BARRIER();
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n]) {
        n++;
        BARRIER();
    }
    return n;
}

/* Called by _start with the stack as the kernel left it: argc, argv..., NULL, envp..., NULL. */
__attribute__((noreturn, used)) void raw_start(long *stack);

void raw_start(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);
    raw_exit_group(raw_main(argc, argv, argv + argc + 1));
}

/* An entry point written in C would start with a misaligned stack: the first movaps would be a
 * crash. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call raw_start\n"
        "    hlt\n");

/* int raw_clone_call(flags rdi, stack_top rsi, fn rdx, arg rcx) */
__asm__(".text\n"
        ".globl raw_clone_call\n"
        ".type raw_clone_call, @function\n"
        "raw_clone_call:\n"
        "    and $-16, %rsi\n"
        "    sub $16, %rsi\n"
        "    mov %rcx, 0(%rsi)\n"
        "    mov %rdx, 8(%rsi)\n"
        "    xor %edx, %edx\n"
        "    xor %r10d, %r10d\n"
        "    xor %r8d, %r8d\n"
        "    mov $56, %eax\n" /* clone */
        "    syscall\n"
        "    test %eax, %eax\n"
        "    jz 1f\n"
        "    ret\n"
        "1:  xor %ebp, %ebp\n"
        "    pop %rdi\n"
        "    pop %rax\n"
        "    call *%rax\n"
        "    mov %eax, %edi\n"
        "    mov $231, %eax\n" /* exit_group */
        "    syscall\n"
        "    hlt\n");
#else
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, %function\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    and sp, x0, #-16\n"
        "    bl raw_start\n"
        "    brk #0\n");

/* int raw_clone_call(flags x0, stack_top x1, fn x2, arg x3) */
__asm__(".text\n"
        ".globl raw_clone_call\n"
        ".type raw_clone_call, %function\n"
        "raw_clone_call:\n"
        "    and x1, x1, #-16\n"
        "    stp x2, x3, [x1, #-16]!\n"
        "    mov x2, #0\n"
        "    mov x3, #0\n"
        "    mov x4, #0\n"
        "    mov x8, #220\n" /* clone */
        "    svc #0\n"
        "    cbz x0, 1f\n"
        "    ret\n"
        "1:  mov x29, #0\n"
        "    ldp x1, x0, [sp], #16\n"
        "    blr x1\n"
        "    mov x8, #94\n" /* exit_group */
        "    svc #0\n"
        "    brk #0\n");
#endif
