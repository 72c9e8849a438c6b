const unsigned char ballast[20000] = {1};

void reset(void)
{
    (void)*(const volatile unsigned char *)ballast;
}
