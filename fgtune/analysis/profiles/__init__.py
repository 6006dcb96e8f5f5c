"""What the levels of one factor say together: plateaus, elasticities, and K_F too large against too small."""
