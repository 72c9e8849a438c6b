const char build_root[] = BUILD_ROOT;

void reset(void)
{
    (void)*(const volatile char *)build_root;
}
