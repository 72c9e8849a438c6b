/* A device that speaks the bench's console protocol, and lies on request. One source for all machines:
 * -DMICROBIT (nRF51, Cortex-M0), -DMPS2_AN385 (CMSDK, Cortex-M3), -DMPS2_AN505 (the same on Cortex-M33), -DVIRT_RV32 (RISC-V).
 *
 * What it says of itself lies in the flash at IDENTITY, so that a test makes a liar by writing other text there, not by another build:
 *   char identity[256]  the words after "OK id ", NUL-terminated
 *   char mood           'n' normal, 's' silent after the ready line, 'r' refuses to start, 'l' locks up at once, 'q' sends nothing,
 *                       'v' as 'n', and asleep between ticks of 10 ms; every 100 ms it sends the line "\x02M <number>" on its link
 *                       (UART 1; where there is one UART only, on that) and calls exchanged(). It obeys lines of the link too:
 *                       "\x02S <text>" is remembered for the command "plant".
 *                       'p' plays the script instead of its ready line, then obeys; 'P' plays it after that line
 *   char script[]       what the command "play" and the moods 'p' and 'P' send: bytes as they are, but after the escape 0x1E
 *                       'E' end, 'W' n wait n times 10 ms, 'L' lock up, 'R' reset, 'H' hang, 'J' play again from the beginning,
 *                       'B' send 64 KiB of 'x', 'G' send 4 KiB of noise, 'T' take a line of input and ignore it, 'I' identify,
 *                       'D' drip: wait 20 ms after each byte from here on, 'O' echo what is received from now on,
 *                       'S' spoof: whatever line is received from here on, answer with the rest of the script
 */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define REG8(address) (*(volatile uint8_t *)(address))
#define IDENTITY ((const char *)(FLASH_BASE + 0x2000))
#define MOOD (*(const volatile char *)(FLASH_BASE + 0x2100))
#define SCRIPT ((const char *)(FLASH_BASE + 0x2104))

extern uint32_t stack_top, bss_start, bss_end;

enum { CONSOLE, LINK };

static char lines[2][80];
static unsigned lengths[2];
static char heard[80];
static int lies, echoes, exchanges_held;
static uint32_t ticks;

#if defined(MICROBIT) /* nRF51 Series Reference Manual 3.0, chapter 29 "UART" */
#define LINK_UART CONSOLE
#define UART 0x40002000u
#define TIMER 0x40008000u
static void uart_start(void) { REG(UART + 0x500) = 4; REG(UART + 0x524) = 0x01D7E000; REG(UART + 0x008) = 1; REG(UART) = 1; }
static void send(int uart, char c) { (void)uart; REG(UART + 0x51C) = (uint8_t)c; while (!REG(UART + 0x11C)) {} REG(UART + 0x11C) = 0; }
static int received(int uart) { return uart == CONSOLE && REG(UART + 0x108); }
static char receive(int uart) { (void)uart; REG(UART + 0x108) = 0; return (char)REG(UART + 0x518); }
#elif defined(MPS2_AN385) || defined(MPS2_AN505) /* Cortex-M System Design Kit TRM, 4.3 "APB UART" */
#define LINK_UART LINK
#if defined(MPS2_AN385)
#define HERTZ 25000000u
#define TIMER 0x40002000u
#define UART(uart) (0x40004000u + 0x1000u * (unsigned)(uart))
#else
#define HERTZ 20000000u
#define TIMER 0x50002000u
#define UART(uart) (0x50200000u + 0x1000u * (unsigned)(uart))
#endif
static void uart_start(void) { for (int i = 0; i < 2; i++) { REG(UART(i) + 0x10) = 16; REG(UART(i) + 0x08) = 3; } }
static void send(int uart, char c) { while (REG(UART(uart) + 4) & 1) {} REG(UART(uart)) = (uint8_t)c; }
static int received(int uart) { return REG(UART(uart) + 4) & 2; }
static char receive(int uart) { return (char)REG(UART(uart)); }
#elif defined(VIRT_RV32) /* National Semiconductor PC16550D; SiFive FU540 manual, chapter 9 "CLINT" */
#define LINK_UART CONSOLE
#define UART 0x10000000u
#define PLIC 0x0C000000u
#define MTIMECMP 0x02004000u
#define MTIME 0x0200BFF8u
static void uart_start(void) { REG8(UART + 2) = 7; }
static void send(int uart, char c) { (void)uart; while (!(REG8(UART + 5) & 0x20)) {} REG8(UART) = (uint8_t)c; }
static int received(int uart) { return uart == CONSOLE && (REG8(UART + 5) & 1); }
static char receive(int uart) { (void)uart; return (char)REG8(UART); }
#else
#error "define a machine"
#endif

/*
 * Sleep, until input arrives or the tick of 10 ms comes: with interrupts held off, so that they only end the wait. The tick is started
 * anew each time: QEMU's virtual time with sleep=off counts every other period of a timer that starts itself anew while asleep twice.
 */
#if defined(VIRT_RV32)
static void keep_awake(void) {}
static void keep_asleep(void) {}
static void sleep_start(void)
{
    REG(MTIMECMP + 4) = 0;
    REG(MTIMECMP) = REG(MTIME) + 100000;
    REG8(UART + 1) = 1;
    REG(PLIC + 4 * 10) = 1; REG(PLIC + 0x2000) = 1 << 10; REG(PLIC + 0x200000) = 0;
    __asm__ volatile("csrs mie, %0" ::"r"(0x880));
}
static int ticked(void) { return (int32_t)(REG(MTIME) - REG(MTIMECMP)) >= 0; }
static void tick_again(void) { REG(MTIMECMP) += 100000; }
static void woken(void) { REG(PLIC + 0x200004) = REG(PLIC + 0x200004); }
static void sleep_end(void) { __asm__ volatile("csrw mie, zero"); }
static void reset(void) { REG(0x00100000) = 0x7777; for (;;) {} }
static void wait_ms(uint32_t ms)
{
    for (uint32_t begin = REG(MTIME); REG(MTIME) - begin < ms * 10000;) {}
}
static void lock_up(void) { __asm__ volatile("csrw mtvec, zero\n unimp"); } /* faults for ever: this machine has no lockup */
#else
static void keep_asleep(void) { REG(0xE000E010) = 0; }
static void keep_awake(void) { REG(0xE000E014) = 16000; REG(0xE000E018) = 0; REG(0xE000E010) = 5; } /* SysTick, for input's sake */
#if defined(MICROBIT) /* nRF51 Series Reference Manual 3.0, chapter 18 "TIMER" */
static const uint32_t irqs[2] = {(1 << 2) | (1 << 8), 0};
static void timer_start(void)
{
    REG(UART + 0x304) = 4;
    REG(TIMER + 0x508) = 3; REG(TIMER + 0x510) = 4; REG(TIMER + 0x540) = 10000; REG(TIMER + 0x304) = 1 << 16; REG(TIMER) = 1;
}
static int ticked(void) { return REG(TIMER + 0x140) != 0; }
static void tick_again(void)
{
    REG(TIMER + 0x140) = 0;
    REG(TIMER + 0x044) = 1; /* CC1: now; in real time the moment of the next tick may be gone, and would not come for an hour */
    uint32_t next = REG(TIMER + 0x540) + 10000;
    REG(TIMER + 0x540) = (int32_t)(next - REG(TIMER + 0x544)) > 100 ? next : REG(TIMER + 0x544) + 10000;
}
static void timer_end(void) { REG(TIMER + 4) = 1; }
static void woken(void) { REG(0xE000E280) = irqs[0]; }
#else /* Cortex-M System Design Kit TRM, 4.5 "APB dual-input timers" */
#if defined(MPS2_AN385)
static const uint32_t irqs[2] = {(1 << 0) | (1 << 2) | (1 << 10), 0};
#else
static const uint32_t irqs[2] = {1 << 5, (1 << 1) | (1 << 3)};
#endif
static void timer_start(void)
{
    for (int i = 0; i < 2; i++) REG(UART(i) + 0x08) = 11;
    REG(TIMER + 8) = 0xE3; REG(TIMER) = HERTZ / 100; /* enabled, with interrupt, 32 bits, one shot */
}
static int ticked(void) { return REG(TIMER + 0x10) & 1; }
static void tick_again(void) { REG(TIMER + 0x0C) = 1; REG(TIMER) = HERTZ / 100; }
static void timer_end(void) { REG(TIMER + 8) = 0; }
static void woken(void)
{
    for (int i = 0; i < 2; i++) { REG(UART(i) + 0x0C) = 2; REG(0xE000E280 + 4u * (unsigned)i) = irqs[i]; }
}
#endif
static void sleep_start(void)
{
    __asm__ volatile("cpsid i");
    REG(0xE000E010) = 0;
    timer_start();
    for (unsigned i = 0; i < 2; i++) REG(0xE000E100 + 4 * i) = irqs[i];
}
static void sleep_end(void) { timer_end(); for (unsigned i = 0; i < 2; i++) REG(0xE000E180 + 4 * i) = irqs[i]; woken(); }
static void reset(void) { REG(0xE000ED0C) = 0x05FA0004; for (;;) {} }
static void wait_ms(uint32_t ms)
{
    while (ms > 0) if (REG(0xE000E010) & (1u << 16)) ms--; /* SysTick of keep_awake: about 1 ms */
}
static void lock_up(void)
{
    /* An undefined instruction with the stack outside the RAM: the fault cannot be entered, and neither can the fault of that. */
    __asm__ volatile("movs r0, #0\n mov sp, r0\n udf #0\n");
}
#endif

static void print(int uart, const char *text) { while (*text) send(uart, *text++); }
static void reply(const char *text) { print(CONSOLE, text); print(CONSOLE, "\r\n"); }

static void number(int uart, uint32_t value)
{
    char digits[11];
    unsigned first = sizeof digits - 1;
    digits[first] = 0;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    print(uart, digits + first);
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) { a++; b++; }
    return *a == *b;
}

static int begins(const char *a, const char *with)
{
    while (*with && *a == *with) { a++; with++; }
    return *with == 0;
}

static void identify(void)
{
    print(CONSOLE, "OK id ");
    unsigned zeros = 0;
    for (const char *c = IDENTITY; *c; c++) {
        if (lies && c[-3] == 's' && c[-2] == 't' && c[-1] == '=') zeros = 64; /* the value of digest= */
        send(CONSOLE, zeros ? '0' : *c);
        if (zeros) zeros--;
    }
    print(CONSOLE, "\r\n");
}

/* Where a bench halts the device after each exchange with what surrounds it. */
__attribute__((noinline)) void exchanged(void) { __asm__ volatile(""); }

static void play(const char *c);

static __attribute__((noinline)) void obey(const char *line)
{
    if (begins(line, "\x02S ")) {
        unsigned i = 0;
        for (; line[i + 3] && i < sizeof heard - 1; i++) heard[i] = line[i + 3];
        heard[i] = 0;
        return;
    }
    if (MOOD == 's') return;
    if (same(line, "id")) identify();
    else if (same(line, "status")) reply("OK status state=idle");
    else if (same(line, "event")) reply("event: something\r\nOK event");
    else if (same(line, "wrong")) reply("OK other");
    else if (same(line, "lie")) { lies = 1; reply("OK lie"); }
    else if (same(line, "mute")) for (;;) {}
    else if (same(line, "die")) lock_up();
    else if (same(line, "reset")) { reply("OK reset"); reset(); }
    else if (same(line, "plant")) { print(CONSOLE, "OK plant heard="); reply(heard); }
    else if (same(line, "time")) { print(CONSOLE, "OK time ms="); number(CONSOLE, 10 * ticks); reply(""); }
    else if (same(line, "halt")) { reply("OK halt\r\nfault: halted"); sleep_end(); for (;;) __asm__ volatile("wfi"); }
    else if (same(line, "play")) play(SCRIPT);
    else if (same(line, "hold")) { reply("OK hold"); exchanges_held = 1; }
    else reply("ERR unknown-command");
}

static __attribute__((noreturn)) void sleep_for_ever(void)
{
    keep_asleep();
    for (;;) __asm__ volatile("wfi");
}

static void take_line(void)
{
    for (char c = 0; c != '\n';) if (received(CONSOLE)) c = receive(CONSOLE);
}

static void play(const char *c)
{
    uint32_t noise = 1;
    int drips = 0;
    for (;; c++) {
        if (*c != 0x1E) {
            send(CONSOLE, *c);
            if (drips) wait_ms(20);
            continue;
        }
        switch (*++c) {
        case 'W': wait_ms(10u * (uint8_t)*++c); break;
        case 'L': lock_up(); break;
        case 'R': reset(); break;
        case 'H': sleep_for_ever();
        case 'J': c = SCRIPT - 1; break;
        case 'B': for (uint32_t i = 0; i < 0x10000; i++) send(CONSOLE, 'x'); break;
        case 'G':
            for (int i = 0; i < 4096; i++) {
                noise = noise * 1664525u + 1013904223u;
                send(CONSOLE, (char)(noise >> 24));
            }
            break;
        case 'T': take_line(); break;
        case 'I': identify(); break;
        case 'D': drips = 1; break;
        case 'O': echoes = 1; break;
        case 'S': for (;;) { take_line(); play(c + 1); }
        default: return;
        }
    }
}

static int poll(int uart)
{
    if (!received(uart)) return 0;
    char c = receive(uart);
    if (echoes) send(uart, c);
    if (c != '\r' && c != '\n') {
        if (lengths[uart] < sizeof lines[uart] - 1) lines[uart][lengths[uart]++] = c;
    } else if (lengths[uart]) {
        lines[uart][lengths[uart]] = 0;
        lengths[uart] = 0;
        obey(lines[uart]);
    }
    return 1;
}

int main(void)
{
    keep_awake();
    uart_start();
    if (MOOD == 'q') sleep_for_ever();
    if (MOOD == 'l') lock_up();
    if (MOOD == 'r') { reply("boot: refused bad-digest"); for (;;) {} }
    if (MOOD == 'p') {
        play(SCRIPT);
    } else {
        print(CONSOLE, "boot: test firmware\r\napp: ready ");
        reply(IDENTITY);
    }
    if (MOOD == 'P') play(SCRIPT);
    if (MOOD != 'v') for (;;) poll(CONSOLE);
    sleep_start();
    for (uint32_t count = 0;;) {
        if (poll(CONSOLE) || poll(LINK)) continue;
        if (!ticked()) {
            __asm__ volatile("wfi");
            woken();
            continue;
        }
        tick_again();
        if (++ticks % 10 != 0 || exchanges_held) continue;
        print(LINK_UART, "\x02M ");
        number(LINK_UART, count++);
        print(LINK_UART, "\n");
        exchanged();
    }
}

#if defined(VIRT_RV32)
__attribute__((section(".vectors"), naked, used)) void reset_handler(void) { __asm__ volatile("la sp, stack_top\n j start"); }
__attribute__((used)) static void start(void)
#else
void reset_handler(void)
#endif
{
    for (uint32_t *word = &bss_start; word < &bss_end; word++) *word = 0;
    main();
}

#if !defined(VIRT_RV32)
static void fault(void) { lock_up(); }

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {&stack_top, reset_handler, fault, fault};
#endif
